/* `valija deliver`, called by the command's main with argv[0] "deliver". Returns the exit code. */
#ifndef CLI_DELIVER_H
#define CLI_DELIVER_H

/* read when -c does not name another */
#define DELIVER_CONFIG "/etc/valija/valija.conf"

int deliver_main(int argc, char **argv);

#endif
