/* `valija init`: makes a post office in a folder (valija-init(1)). */
#ifndef CLI_INIT_H
#define CLI_INIT_H

/* argv[0] is "init". Returns a code of sysexits.h. */
int init_main(int argc, char **argv);

#endif
