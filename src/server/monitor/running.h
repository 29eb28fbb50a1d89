/* The valijad that runs already, found in /proc. For `valijad -t`. */
#ifndef SERVER_MONITOR_RUNNING_H
#define SERVER_MONITOR_RUNNING_H

#include <sys/types.h>

/* The process id of another valijad that was started with that configuration file, by whatever
 * path; 0: none is seen. */
pid_t running_with(const char *config_file);

#endif
