/* `valija deliver`, called by the command's main with argv[0] "deliver". Returns the exit code. */
#ifndef CLI_DELIVER_H
#define CLI_DELIVER_H

int deliver_main(int argc, char **argv);

#endif
