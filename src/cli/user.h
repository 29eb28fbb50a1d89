/* `valija user`: adds, changes, deletes and lists users (valija-user(1)). */
#ifndef CLI_USER_H
#define CLI_USER_H

/* argv[0] is "user". Returns a code of sysexits.h. */
int user_main(int argc, char **argv);

#endif
