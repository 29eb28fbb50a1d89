/* Of finding.h: the names by which clients find the server. DNS is asked about the configured names
 * alone; its answers are anybody's. */
#include "cli/doctor/finding.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 8192 };

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->sa_family != b->sa_family)
		return false;
	return a->sa_family == AF_INET
		       ? memcmp(&a4->sin_addr, &b4->sin_addr, sizeof(a4->sin_addr)) == 0
		       : memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

/* Whether an address of the name is one of this machine. */
static bool is_here(const struct addrinfo *addresses)
{
	struct ifaddrs *own = NULL;
	bool here = false;

	if (getifaddrs(&own) < 0)
		return true; /* it is not known */
	for (const struct addrinfo *one = addresses; one; one = one->ai_next)
		for (const struct ifaddrs *at = own; at && !here; at = at->ifa_next)
			here = at->ifa_addr && same_address(one->ai_addr, at->ifa_addr);
	freeifaddrs(own);
	return here;
}

static void check_host(const struct doctor *doctor)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses = NULL;
	const char *name = doctor->config->host_name;
	int code;

	if (!strchr(name, '.'))
		find(doctor, SEVERITY_WARNING, "names",
		     "hostname = \"mail.example.org\" in valija.conf",
		     "the host name \"%s\" has no domain: clients cannot compare it with a "
		     "certificate",
		     name);
	code = getaddrinfo(name, NULL, &hints, &addresses);
	if (code) {
		find(doctor, SEVERITY_WARNING, "names",
		     "add an A and AAAA record, or set hostname in valija.conf",
		     "%s has no address (%s): clients cannot find it", name, gai_strerror(code));
		return;
	}
	if (is_here(addresses))
		find(doctor, SEVERITY_OK, "names", NULL, "%s is an address of this machine", name);
	else
		find(doctor, SEVERITY_NOTE, "names",
		     "right behind NAT or a proxy; else correct the record",
		     "no address of %s is one of this machine", name);
	freeaddrinfo(addresses);
}

/* The first SRV record of the answer. */
static bool read_srv(const unsigned char *answer, int size, char *ret_name, size_t cap,
		     unsigned *ret_port)
{
	ns_msg message;
	ns_rr record;

	if (size <= 0 || size > ANSWER_MAX || ns_initparse(answer, size, &message) < 0)
		return false;
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
		if (ns_parserr(&message, ns_s_an, i, &record) < 0)
			return false;
		if (ns_rr_type(record) != ns_t_srv || ns_rr_rdlen(record) < 7)
			continue;
		*ret_port = ns_get16(ns_rr_rdata(record) + 4);
		return ns_name_uncompress(ns_msg_base(message), ns_msg_end(message),
					  ns_rr_rdata(record) + 6, ret_name, cap) >= 0;
	}
	return false;
}

static void judge_srv(const struct doctor *doctor, const char *domain, uint16_t port)
{
	const char *host = doctor->config->host_name;
	char name[NS_MAXDNAME], question[CONFIG_NAME_MAX + 16], mend[600];
	unsigned char answer[ANSWER_MAX];
	unsigned there;
	int size;

	snprintf(question, sizeof(question), "_pop3s._tcp.%s", domain);
	snprintf(mend, sizeof(mend), "DNS: %s. SRV 0 1 %u %s.", question, port, host);
	_res.retrans = 2;
	_res.retry = 2;
	size = res_query(question, ns_c_in, ns_t_srv, answer, sizeof(answer));
	if (!read_srv(answer, size, name, sizeof(name), &there))
		find(doctor, SEVERITY_NOTE, "names", mend,
		     "%s has no record: mail programs cannot find the server by the domain",
		     question);
	else if (strcasecmp(name, host) != 0 || there != port)
		find(doctor, SEVERITY_WARNING, "names", mend,
		     "%s names %s, port %u, and this server is %s, port %u", question, name, there,
		     host, port);
	else
		find(doctor, SEVERITY_OK, "names", NULL, "%s names this server", question);
}

void check_names(const struct doctor *doctor)
{
	const struct config *config = doctor->config;
	const char *dot = strchr(config->host_name, '.');
	/* mail.example.org serves example.org; example.org itself */
	const char *usual = dot && strchr(dot + 1, '.') ? dot + 1 : config->host_name;
	char domains[CONFIG_PATH_MAX], *rest = domains, *domain;
	uint16_t port = 0;

	check_host(doctor);
	for (uint32_t i = 0; i < config->listener_count && !port; i++)
		if (config->listeners[i].service == SERVICE_POP3S)
			port = config->listeners[i].port;
	if (!port)
		return;
	snprintf(domains, sizeof(domains), "%s", config->domains[0] ? config->domains : usual);
	res_init();
	while ((domain = strtok_r(rest, " ", &rest)))
		judge_srv(doctor, domain, port);
}
