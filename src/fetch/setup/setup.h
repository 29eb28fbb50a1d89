/* `valija fetch setup` and `valija fetch login`: what a person does once for an account. */
#ifndef FETCH_SETUP_SETUP_H
#define FETCH_SETUP_SETUP_H

/* argv[0] is the name of the command, the rest as in valija-fetch-setup(1). Return a code of
 * sysexits.h. */
int setup_main(int argc, char **argv);
int setup_login_main(int argc, char **argv);

#endif
