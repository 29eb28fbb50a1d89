/* See network.h. In the parent of --watch; the messages are the kernel's, others are dropped. */
#include "fetch/watch/network.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

int watch_network_open(struct err *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK,
				      .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return err_sys(err, EX_OSERR, errno, "cannot watch the network's addresses");
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		err_sys(err, EX_OSERR, errno, "cannot watch the network's addresses");
		close(fd);
		return -1;
	}
	return fd;
}

/* Not those of this machine or link alone, nor one that may be another machine's. */
static bool usable(const struct nlmsghdr *message)
{
	const struct ifaddrmsg *address = NLMSG_DATA(message);

	return message->nlmsg_type == RTM_NEWADDR &&
	       message->nlmsg_len >= NLMSG_LENGTH(sizeof(*address)) &&
	       address->ifa_scope < RT_SCOPE_LINK &&
	       !(address->ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED));
}

bool watch_network_came(int fd)
{
	_Alignas(struct nlmsghdr) char buffer[8192];
	bool came = false;

	for (;;) {
		struct sockaddr_nl from = {0};
		socklen_t from_size = sizeof(from);
		ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from,
				     &from_size);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno == ENOBUFS) { /* some were lost: it may have been among them */
			came = true;
			continue;
		}
		if (n <= 0)
			return came;
		if (from.nl_pid != 0) /* not the kernel */
			continue;
		for (const struct nlmsghdr *m = (const struct nlmsghdr *)(const void *)buffer;
		     NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
			came = came || usable(m);
	}
}
