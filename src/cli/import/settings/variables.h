/* Dovecot's variables, in both of its forms: "%Ld", "%{user | domain | lower}". */
#ifndef CLI_IMPORT_SETTINGS_VARIABLES_H
#define CLI_IMPORT_SETTINGS_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>

enum variable {
	VARIABLE_NONE, /* an ordinary character */
	VARIABLE_PERCENT,
	VARIABLE_USER,
	VARIABLE_LOCAL,
	VARIABLE_DOMAIN,
	VARIABLE_HOME,
	VARIABLE_SERVICE,
	VARIABLE_ADDRESS,
	VARIABLE_UNKNOWN /* or with a modifier that has no counterpart */
};

/* At **at: takes a variable, or one character, off the front. */
enum variable variable_take(const char **at);
/* "{user}" and so on; NULL: it has no counterpart. */
const char *variable_placeholder(enum variable variable);
/* Writes text with placeholders of valija.conf. home: text for %h and a "~/" at the front, with
 * variables itself; NULL: none. False: a variable has no counterpart, or it is too long. */
bool variables_expand(const char *text, const char *home, char *ret, size_t size);
/* The path below the home in "~/Maildir", "%h/Maildir": "Maildir"; NULL: it is not below one. */
const char *variables_below_home(const char *text);

#endif
