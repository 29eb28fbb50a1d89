/* `valija init --with MTA`: the changes that an MTA on this machine needs to hand its mail to
 * valijad and to ask it; shown, made, and taken back. */
#ifndef CLI_WITH_COMMAND_H
#define CLI_WITH_COMMAND_H

/* argc, argv: of `init`, with "--with" among them. Returns an exit code. */
int with_main(int argc, char **argv);

#endif
