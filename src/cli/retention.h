/* `valija retention`: see retention.c. */
#ifndef CLI_RETENTION_H
#define CLI_RETENTION_H

int retention_main(int argc, char **argv);

#endif
