/* `valija remote`: consents of users whose maildrops are on another server. See valija-remote(1).
 */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

int remote_main(int argc, char **argv);

#endif
