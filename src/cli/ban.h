/* `valija ban`: networks whose connections a running server refuses. */
#ifndef CLI_BAN_H
#define CLI_BAN_H

int ban_main(int argc, char **argv);

#endif
