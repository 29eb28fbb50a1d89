/* `valija user flush`: a server that runs asks its databases anew (valija-user(1)). */
#ifndef CLI_USER_FLUSH_H
#define CLI_USER_FLUSH_H

/* argv[0] is "flush". Returns a code of sysexits.h. */
int user_flush_main(int argc, char **argv);

#endif
