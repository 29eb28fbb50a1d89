/* `valija fetch setup` and `valija fetch login`: what a person does once for an account. */
#ifndef FETCH_SETUP_SETUP_H
#define FETCH_SETUP_SETUP_H

/* argv[0] is "login", the rest as in valija-fetch-setup(1). Returns a code of sysexits.h. */
int setup_login_main(int argc, char **argv);

#endif
