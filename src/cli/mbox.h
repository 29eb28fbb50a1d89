/* `valija mbox`, called by the command's main with argv[0] "mbox". Returns the exit code. */
#ifndef CLI_MBOX_H
#define CLI_MBOX_H

int mbox_main(int argc, char **argv);

#endif
