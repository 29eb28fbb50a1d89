/* `valija guard`: see valija-guard(8). */
#ifndef CLI_GUARD_H
#define CLI_GUARD_H

int guard_main(int argc, char **argv);

#endif
