/* `valija init --with postfix`: what a Postfix on this machine needs to hand its mail to valijad
 * and to ask it; shown, made, and taken back. */
#ifndef CLI_WITH_POSTFIX_H
#define CLI_WITH_POSTFIX_H

/* argc, argv: of `init`, with "--with" among them. Returns an exit code. */
int with_postfix_main(int argc, char **argv);

#endif
