/* `valija user app`: app passwords of users (valija-user(1)). */
#ifndef CLI_USER_APP_H
#define CLI_USER_APP_H

/* argv[0] is "app". Returns a code of sysexits.h. */
int user_app_main(int argc, char **argv);

#endif
