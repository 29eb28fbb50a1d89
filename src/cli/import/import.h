/* `valija import`, called by the command's main with argv[0] "import". Returns the exit code. */
#ifndef CLI_IMPORT_IMPORT_H
#define CLI_IMPORT_IMPORT_H

int import_main(int argc, char **argv);

#endif
