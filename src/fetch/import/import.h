/* `valija fetch import fetchmail|mpop|getmail|thunderbird [FILE]`: accounts of another fetcher, and
 * what it has collected, so that nothing is collected again. For fetch.c, as the user. */
#ifndef FETCH_IMPORT_IMPORT_H
#define FETCH_IMPORT_IMPORT_H

/* argv[0] is "import". Returns a code of sysexits.h. */
int fetch_import(int argc, char **argv);

#endif
