/*
 * Readers of the network in `valija fetch setup`: the first octet chooses the reader. Checked: a
 * server that is found has a name that can be looked up, a user without control characters, and
 * TLS.
 */
#include "fetch/setup/autoconfig.h"
#include "fetch/setup/dns.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_target(pop3_span in, int (*read)(pop3_span, struct dns_target *))
{
	struct dns_target target;
	int rc;

	memset(&target, 0x5a, sizeof(target));
	rc = read(in, &target);
	assert(rc >= -1 && rc <= 1);
	if (rc <= 0)
		return;
	assert(memchr(target.name, '\0', sizeof(target.name)));
	assert(!target.name[0] || found_host_valid(target.name, strlen(target.name)));
}

static void read_page(pop3_span in)
{
	struct found found = {0};

	if (autoconfig_read(in, "anna@example.org", &found) <= 0) {
		assert(!found.host[0]);
		return;
	}
	assert(found_host_valid(found.host, strlen(found.host)));
	assert(found.tls == FETCH_TLS_IMPLICIT || found.tls == FETCH_TLS_STARTTLS);
	assert(strlen(found.user) < sizeof(found.user));
	for (const char *c = found.user; *c; c++)
		assert((unsigned char)*c >= 0x20 && *c != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span in;

	if (size == 0)
		return 0;
	in = (pop3_span){(const char *)data + 1, size - 1};
	switch (data[0]) {
	case 's':
		read_target(in, dns_srv_read);
		break;
	case 'm':
		read_target(in, dns_mx_read);
		break;
	case 'x':
		read_page(in);
		break;
	}
	return 0;
}
