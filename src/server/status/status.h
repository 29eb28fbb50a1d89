/*
 * status: shows what all processes count (server/counters.h), over HTTP: /metrics for Prometheus,
 * /status.json, /healthz, /readyz, and a page for people. It maps the counters pages for reading
 * and holds nothing else: no names, no addresses, no mail, no secrets. Every octet of a client is
 * hostile, and so is what stands in a page.
 *
 * totals.h: the sums over all pages. text.h: the answers. samples.h: the last day. http.h: HTTP.
 */
#ifndef SERVER_STATUS_STATUS_H
#define SERVER_STATUS_STATUS_H

#include "server/child.h"

extern const struct child_role status_role;

#endif
