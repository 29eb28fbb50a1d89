/* See link.h. */
#include "lookup/ldap/link.h"

#include "lookup/ldap/dial.h"

#include <string.h>
#include <sysexits.h>

static void forget(struct link *link, bool lost)
{
	client_close(link->client, lost);
	link->client = NULL;
}

/* The deadline of one of so many attempts. */
static uint64_t share(uint64_t deadline, unsigned attempts)
{
	uint64_t now = dial_now();

	return deadline > now ? now + (deadline - now) / attempts : now;
}

static enum client_result log_in(const struct link *link, const struct link_site *site,
				 uint64_t deadline, struct err *err)
{
	enum client_result result = CLIENT_DONE;

	if (!link->logged_in)
		return CLIENT_DONE;
	if (site->external)
		result = client_bind_external(link->client, deadline, err);
	else if (*site->bind_dn)
		result = client_bind(link->client, site->bind_dn, site->password, deadline, err);
	if (result != CLIENT_DONE && result != CLIENT_LOST)
		err_prefix(err, "the server refuses %s",
			   site->external ? "SASL EXTERNAL" : "bind_dn with bind_password_file");
	return result == CLIENT_DONE ? CLIENT_DONE : CLIENT_LOST;
}

/* An attempt at one server. Only what ends with an answer is good: a server may take connections,
 * and never say anything. */
static enum client_result try_server(struct link *link, struct link_site *site,
				     const struct server_try *tried, link_step *step, void *context,
				     uint64_t deadline, struct err *err)
{
	enum client_result result = CLIENT_LOST;

	link->client = client_open(site->servers.list[tried->server].address, &site->options,
				   deadline, err);
	if (link->client)
		result = log_in(link, site, deadline, err);
	if (result == CLIENT_DONE)
		result = step(link->client, context, deadline, err);
	if (result == CLIENT_LOST) {
		servers_bad(&site->servers, tried, dial_now(), err->text);
		forget(link, true);
	} else {
		servers_good(&site->servers, tried);
	}
	return result;
}

/* A connection may have been closed by the server, or forgotten by a firewall, since it was used:
 * that says nothing about the server, which is asked again at once. */
static enum client_result try_kept(struct link *link, link_step *step, void *context,
				   uint64_t deadline, struct err *err)
{
	enum client_result result = CLIENT_LOST;

	if (link->client)
		result = step(link->client, context, share(deadline, 2), err);
	if (result == CLIENT_LOST || result == CLIENT_FAILED)
		forget(link, true);
	return result;
}

enum client_result link_do(struct link *link, struct link_site *site, link_step *step,
			   void *context, uint64_t deadline, struct err *err)
{
	enum client_result result = try_kept(link, step, context, deadline, err);
	struct server_try tried;
	char why[sizeof(err->text)];

	for (unsigned from = 0; result == CLIENT_LOST; from = tried.server + 1) {
		uint64_t now = dial_now();

		if (now >= deadline ||
		    !servers_next(&site->servers, from, now, deadline - now, &tried))
			break;
		result = try_server(link, site, &tried, step, context, share(deadline, tried.left),
				    err);
	}
	if (result != CLIENT_LOST)
		return result;
	servers_why(&site->servers, why, sizeof(why));
	if (*why)
		err_set(err, EX_UNAVAILABLE, "%s", why);
	return CLIENT_LOST;
}
