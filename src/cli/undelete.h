/* `valija undelete`: see undelete.c. */
#ifndef CLI_UNDELETE_H
#define CLI_UNDELETE_H

int undelete_main(int argc, char **argv);

#endif
