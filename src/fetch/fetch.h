/* `valija fetch`: collects mail from POP3 servers. The only header other parts include. */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

/* argv[0] is "fetch", the rest as in valija-fetch(1). Returns a code of sysexits.h. */
int fetch_main(int argc, char **argv);

#endif
