/* See link.h. */
#include "lookup/ldap/link.h"

#include "lookup/ldap/dial.h"

#include <string.h>
#include <sysexits.h>

static void forget(struct link *link, bool lost)
{
	directory_close(link->directory, lost);
	link->directory = NULL;
}

/* The deadline of one of so many attempts. */
static uint64_t share(uint64_t deadline, unsigned attempts)
{
	uint64_t now = dial_now();

	return deadline > now ? now + (deadline - now) / attempts : now;
}

static enum directory_result log_in(const struct link *link, const struct link_site *site,
				    uint64_t deadline, struct err *err)
{
	enum directory_result result = DIRECTORY_DONE;

	if (!link->logged_in)
		return DIRECTORY_DONE;
	if (site->external)
		result = directory_bind_external(link->directory, deadline, err);
	else if (*site->bind_dn)
		result = directory_bind(link->directory, site->bind_dn, site->password, deadline,
					err);
	if (result != DIRECTORY_DONE && result != DIRECTORY_LOST)
		err_prefix(err, "the server refuses %s",
			   site->external ? "SASL EXTERNAL" : "bind_dn with bind_password_file");
	return result == DIRECTORY_DONE ? DIRECTORY_DONE : DIRECTORY_LOST;
}

/* An attempt at one server. Only what ends with an answer is good: a server may take connections,
 * and never say anything. */
static enum directory_result try_server(struct link *link, struct link_site *site,
					const struct server_try *tried, link_step *step,
					void *context, uint64_t deadline, struct err *err)
{
	enum directory_result result = DIRECTORY_LOST;

	link->directory = directory_open(site->servers.list[tried->server].address, &site->options,
					 deadline, err);
	if (link->directory)
		result = log_in(link, site, deadline, err);
	if (result == DIRECTORY_DONE)
		result = step(link->directory, context, deadline, err);
	if (result == DIRECTORY_LOST) {
		servers_bad(&site->servers, tried, dial_now(), err->text);
		forget(link, true);
	} else {
		servers_good(&site->servers, tried);
	}
	return result;
}

/* A connection may have been closed by the server, or forgotten by a firewall, since it was used:
 * that says nothing about the server, which is asked again at once. */
static enum directory_result try_kept(struct link *link, link_step *step, void *context,
				      uint64_t deadline, struct err *err)
{
	enum directory_result result = DIRECTORY_LOST;

	if (link->directory)
		result = step(link->directory, context, share(deadline, 2), err);
	if (result == DIRECTORY_LOST || result == DIRECTORY_FAILED)
		forget(link, true);
	return result;
}

enum directory_result link_do(struct link *link, struct link_site *site, link_step *step,
			      void *context, uint64_t deadline, struct err *err)
{
	enum directory_result result = try_kept(link, step, context, deadline, err);
	struct server_try tried;
	char why[sizeof(err->text)];

	for (unsigned from = 0; result == DIRECTORY_LOST; from = tried.server + 1) {
		uint64_t now = dial_now();

		if (now >= deadline ||
		    !servers_next(&site->servers, from, now, deadline - now, &tried))
			break;
		result = try_server(link, site, &tried, step, context, share(deadline, tried.left),
				    err);
	}
	if (result != DIRECTORY_LOST)
		return result;
	servers_why(&site->servers, why, sizeof(why));
	if (*why)
		err_set(err, EX_UNAVAILABLE, "%s", why);
	return DIRECTORY_LOST;
}
