/* `valija deleted`: see deleted.c. */
#ifndef CLI_DELETED_H
#define CLI_DELETED_H

int deleted_main(int argc, char **argv);

#endif
