/* Closing descriptors in cleanup paths. Any process and thread. */
#ifndef BASE_DESCRIPTOR_H
#define BASE_DESCRIPTOR_H

/* Closes *fd, if it is one (-1: none), and sets it to -1. errno is kept, so that a failure can be
 * cleaned up before it is reported. */
void close_fd(int *fd);

#endif
