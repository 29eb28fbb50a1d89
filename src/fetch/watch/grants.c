/* See grants.h. In the parent of --watch; the folder is the user's own. */
#include "fetch/watch/grants.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sysexits.h>
#include <unistd.h>

int watch_grants_open(int dir, struct err *err)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	if (fd >= 0 && inotify_add_watch(fd, path, IN_MOVED_TO) >= 0)
		return fd;
	err_sys(err, EX_OSERR, errno, "cannot watch the state folder");
	if (fd >= 0)
		close(fd);
	return -1;
}

void watch_grants_take(int fd, void (*came)(void *context, const char *name), void *context)
{
	_Alignas(struct inotify_event) char buffer[8192];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		for (const char *at = buffer; at < buffer + n;) {
			const struct inotify_event *event = (const void *)at;
			size_t size = event->len ? strlen(event->name) : 0;

			if (size > 6 && strcmp(event->name + size - 6, ".grant") == 0)
				came(context, event->name);
			at += sizeof(*event) + event->len;
		}
	}
}
