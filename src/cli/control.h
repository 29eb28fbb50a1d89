/* Commands to a server that runs, over its control socket: `valija who`, `kick`, `reload` …; their
 * table is control.c's. */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

/* Any of them, by argv[0]. */
int control_main(int argc, char **argv);

#endif
