/* `valija migrate`, called by the command's main with argv[0] "migrate". Returns the exit code. */
#ifndef CLI_MIGRATE_MIGRATE_H
#define CLI_MIGRATE_MIGRATE_H

int migrate_main(int argc, char **argv);

#endif
