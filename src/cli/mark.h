/*
 * `valija mark`: what a person knows about a mail folder and the server cannot: that it is the one
 * of the mail, and that a maildrop was removed on purpose.
 */
#ifndef CLI_MARK_H
#define CLI_MARK_H

int mark_main(int argc, char **argv);

#endif
