/* See dns.h. By libresolv; in the process of a person's command. */
#include "fetch/setup/dns.h"

#include "fetch/setup/found.h"

#include <arpa/nameser.h>
#include <limits.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name of the answer; -1: it is none that can be used. */
static int take_name(const ns_msg *message, const unsigned char *at, const ns_rr *record,
		     char out[DNS_NAME_MAX])
{
	char name[NS_MAXDNAME];
	size_t n;

	/* a name may point backwards, but is read from this record's octets */
	if (at >= ns_rr_rdata(*record) + ns_rr_rdlen(*record) ||
	    ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), at, name,
			       sizeof(name)) < 0)
		return -1;
	n = strlen(name);
	if (n && name[n - 1] == '.')
		n--;
	if (n >= DNS_NAME_MAX || (n && !found_host_valid(name, n)))
		return -1;
	memcpy(out, name, n);
	out[n] = '\0';
	return 0;
}

/* Numbers in front of the name: SRV priority, weight, port; MX preference. */
static int take(const ns_msg *message, const ns_rr *record, int type, uint32_t *ret_rank,
		struct dns_target *ret)
{
	const unsigned char *at = ns_rr_rdata(*record);
	size_t fixed = type == ns_t_srv ? 6 : 2;

	if (ns_rr_rdlen(*record) <= fixed)
		return -1;
	*ret_rank = (uint32_t)ns_get16(at) << 16;
	ret->port = 0;
	if (type == ns_t_srv) {
		*ret_rank |= 0xffff - ns_get16(at + 2);
		ret->port = (uint16_t)ns_get16(at + 4);
	}
	return take_name(message, at + fixed, record, ret->name);
}

static int read_best(pop3_span answer, int type, struct dns_target *ret)
{
	uint32_t best = UINT32_MAX, rank = 0;
	bool found = false;
	ns_msg message;

	if (answer.size > INT_MAX ||
	    ns_initparse((const unsigned char *)answer.data, (int)answer.size, &message) < 0)
		return -1;
	for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
		struct dns_target one;
		ns_rr record;

		if (ns_parserr(&message, ns_s_an, i, &record) < 0)
			return found ? 1 : -1;
		if ((int)ns_rr_type(record) != type || ns_rr_class(record) != ns_c_in ||
		    take(&message, &record, type, &rank, &one) < 0 || (found && rank >= best))
			continue;
		best = rank;
		found = true;
		*ret = one;
	}
	return found;
}

int dns_srv_read(pop3_span answer, struct dns_target *ret)
{
	return read_best(answer, ns_t_srv, ret);
}

int dns_mx_read(pop3_span answer, struct dns_target *ret)
{
	return read_best(answer, ns_t_mx, ret);
}

static int ask(const char *name, int type, struct dns_target *ret)
{
	unsigned char *answer = malloc(DNS_ANSWER_MAX);
	int n, rc = 0;

	if (!answer)
		return 0;
	n = res_query(name, ns_c_in, type, answer, DNS_ANSWER_MAX);
	if (n > 0 && n <= DNS_ANSWER_MAX)
		rc = read_best((pop3_span){(const char *)answer, (size_t)n}, type, ret);
	free(answer);
	return rc > 0;
}

int dns_srv(const char *service, const char *domain, struct dns_target *ret)
{
	char name[NS_MAXDNAME];

	snprintf(name, sizeof(name), "%.60s.%.255s", service, domain);
	return ask(name, ns_t_srv, ret);
}

int dns_mx(const char *domain, struct dns_target *ret)
{
	return ask(domain, ns_t_mx, ret);
}
