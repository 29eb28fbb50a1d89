/* `valija user list`: all users, as JSON, or those who have not logged in for long. */
#ifndef CLI_USER_LIST_H
#define CLI_USER_LIST_H

/* argv[0] is "list". Returns an exit code. */
int user_list_main(int argc, char **argv);

#endif
