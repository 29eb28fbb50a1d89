/*
 * The app passwords of a site: the file app-passwords beside the users file, read at open and again
 * when it changed. In auth (any thread); `valija user app` changes it (app_edit.h). No file: no app
 * passwords. A changed file that is bad or half-written leaves the old one in force and is logged
 * once; one that is gone revokes all. Opened by auth and by `valijad -t`.
 */
#ifndef USERS_APP_PASSWORDS_H
#define USERS_APP_PASSWORDS_H

#include "users/app_password.h"

struct app_passwords;

/* In the folder dir_fd (borrowed, O_PATH will do; must stay open). A file that cannot be read, or
 * has a bad line, is an error with file and line. */
int app_passwords_open(int dir_fd, struct app_passwords **ret, struct err *err);
void app_passwords_close(struct app_passwords *apps);
/* Whether password is an app password of name; then ret is filled in. Its time and networks are not
 * looked at. A password of another form costs a look at its octets; one of this form the same,
 * whether there is such a name or not: a digest and a look-up by it. Thread-safe. */
bool app_passwords_match(struct app_passwords *apps, pop3_span name, pop3_span password,
			 struct app_password *ret);
/* Whether there are any. */
bool app_passwords_any(struct app_passwords *apps);

#endif
