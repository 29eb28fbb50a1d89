/*
 * Addresses to listen on: "ADDRESS:PORT" or a path, into struct config_listener and back. Used by
 * the configuration and by `valija init`. No name is looked up.
 */
#include "config/listener.h"

#include "base/text.h"
#include "config/path.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

bool config_host_valid(const char *name)
{
	size_t label = 0, n = strlen(name);

	if (n == 0 || n >= CONFIG_NAME_MAX - 1)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];

		if (c == '.' ? label == 0 || name[i - 1] == '-'
			     : !((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
				 (c == '-' && label > 0)))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label > 0 && name[n - 1] != '-';
}

static int parse_path(const char *value, const char *directory, struct config_listener *ret,
		      struct err *err)
{
	if (config_resolve(directory, value, ret->address, sizeof(ret->address), err) < 0)
		return -1;
	if (strlen(ret->address) > 107) /* sun_path */
		return err_set(
			err, EX_CONFIG,
			"listen: the path \"%s\" is too long for a socket: at most 107 octets",
			ret->address);
	return 0;
}

/* "::ffff:192.0.2.1" is an IPv4 address in disguise: a socket for IPv6 alone cannot have it. */
static bool is_mapped(const unsigned char raw[16])
{
	static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(raw, prefix, sizeof(prefix)) == 0;
}

/* Addresses are literals: a name would have to be looked up, and might mean something else
 * tomorrow. */
static int parse_address(const char *host, struct config_listener *ret)
{
	unsigned char raw[16];

	if (strcmp(host, "localhost") == 0)
		return snprintf(ret->address, sizeof(ret->address), "%s", host);
	if (inet_pton(AF_INET, host, raw) == 1)
		return inet_ntop(AF_INET, raw, ret->address, sizeof(ret->address)) ? 0 : -1;
	if (inet_pton(AF_INET6, host, raw) == 1 && !is_mapped(raw))
		return inet_ntop(AF_INET6, raw, ret->address, sizeof(ret->address)) ? 0 : -1;
	return -1;
}

/* "lmtp.sock", but not a port that lost its address. */
static bool is_file_name(const char *value)
{
	return *value && !strchr(value, ':') && value[strspn(value, "0123456789")];
}

static bool is_loopback(const char *address)
{
	return strcmp(address, "localhost") == 0 || strcmp(address, "::1") == 0 ||
	       strncmp(address, "127.", 4) == 0;
}

int config_listener_parse(const char *value, enum config_service service, const char *directory,
			  struct config_listener *ret, struct err *err)
{
	struct config_listener listener = {.service = service};
	const char *colon = strrchr(value, ':'), *from = value;
	char host[80];
	uint64_t port;
	size_t n;

	if (strchr(value, '/') || (service >= SERVICE_LMTP && is_file_name(value))) {
		if (service < SERVICE_LMTP || service == SERVICE_STATUS)
			return err_set(err, EX_CONFIG,
				       "listen = \"%s\": %s takes no path; write "
				       "\"ADDRESS:PORT\"",
				       value, service == SERVICE_STATUS ? "metrics" : "POP3");
		if (parse_path(value, directory, &listener, err) < 0)
			return -1;
		*ret = listener;
		return 0;
	}
	if (service == SERVICE_CONTROL)
		return err_set(err, EX_CONFIG,
			       "control.socket = \"%s\": write the path of a Unix socket", value);
	n = colon ? (size_t)(colon - value) : 0;
	if (n >= 2 && value[0] == '[' && value[n - 1] == ']') {
		from++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(host) || span_number(span_of(colon + 1), 65535, &port) < 0 ||
	    port == 0)
		return err_set(
			err, EX_CONFIG,
			"listen = \"%s\": write \"ADDRESS:PORT\", such as \"127.0.0.1:1110\" or "
			"\"[::]:110\"",
			value);
	memcpy(host, from, n);
	host[n] = '\0';
	if (parse_address(host, &listener) < 0 ||
	    (from == value) != (strchr(listener.address, ':') == NULL))
		return err_set(
			err, EX_CONFIG,
			"listen = \"%s\": \"%s\" is not an address: write an IPv4 address, an "
			"IPv6 address in brackets (not ::ffff:…: write the IPv4 address in it) or "
			"localhost; \"[::]\" is every address, of IPv4 too",
			value, host);
	if (service > SERVICE_LMTP && service != SERVICE_STATUS && !is_loopback(listener.address))
		return err_set(err, EX_CONFIG,
			       "listen = \"%s\": its clients are believed to be on this machine: "
			       "write the path of a Unix socket, or \"127.0.0.1:PORT\"",
			       value);
	if (service == SERVICE_LMTP && port == 25)
		return err_set(err, EX_CONFIG,
			       "listen = \"%s\": LMTP must not be on port 25 (RFC 2033 section 5); "
			       "port 24 is its own",
			       value);
	listener.port = (uint16_t)port;
	*ret = listener;
	return 0;
}

bool config_listener_is_local(const struct config_listener *listener)
{
	return listener->port == 0 || is_loopback(listener->address);
}

void config_listener_print(const struct config_listener *listener, char *buf, size_t size)
{
	if (listener->port == 0)
		snprintf(buf, size, "%s", listener->address);
	else
		snprintf(buf, size, strchr(listener->address, ':') ? "[%s]:%u" : "%s:%u",
			 listener->address, (unsigned)listener->port);
}
