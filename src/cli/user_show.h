/* `valija user show` and `valija user test`: a user as all databases of the site have it
 * (valija-user(1)). */
#ifndef CLI_USER_SHOW_H
#define CLI_USER_SHOW_H

/* argv[0] is "show" or "test". Returns a code of sysexits.h. */
int user_show_main(int argc, char **argv);

#endif
