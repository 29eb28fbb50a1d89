/*
 * The messages that a child gets over its channel: configuration, folders, sockets, keys, and
 * channels to the processes that it works with. Most are sent at its start; new keys, listening
 * sockets and channels to a new process also later. Runs in the monitor, for generation.c.
 */
#ifndef SERVER_MONITOR_BRIEFING_H
#define SERVER_MONITOR_BRIEFING_H

#include "server/certificates.h"
#include "server/monitor/files.h"
#include "server/monitor/listeners.h"
#include "server/monitor/pages.h"
#include "server/monitor/slot.h"

struct bans;
struct penalties_kept;

struct briefing {
	const struct generation_files *files;
	const struct listeners *listeners;
	const uint8_t (*ticket_keys)[TLS_TICKET_KEY_SIZE]; /* TLS_TICKET_KEYS rows */
	uint32_t generation;                               /* of the generation */
	bool root;
	const struct pages *pages;
	const struct bans *bans;
	const struct penalties_kept *penalties;
	bool mail_away[CONFIG_ROOTS_MAX]; /* see root_watch.h */
};

/* Sends CONFIG and what the slot's role needs; channels to other children: briefing_wire. */
void briefing_send(const struct briefing *briefing, struct slot *slot);
/* The counters of a process, for a slot of status. */
void briefing_send_page(struct slot *slot, const struct page *page);
/* Certificates for a front, or both files for keys; ask: see struct ipc_certificates. */
void briefing_send_certificates(struct slot *slot, const struct packed *packed, uint32_t number,
				uint32_t ask);
/* The recorder's ring beside it, for a slot of control: a new one, or one with another writer. */
void briefing_send_ring(struct slot *slot, const struct page *page, bool is_new);
void briefing_send_ticket_keys(const struct briefing *briefing, struct slot *slot);
/* The penalties that another auth left, for a slot of auth. */
void briefing_send_penalties(const struct briefing *briefing, struct slot *slot);
/* The table of bans, for a slot of a process that looks into it. */
void briefing_send_bans(const struct bans *bans, struct slot *slot);
/* The role that takes the connections of a service. */
enum ipc_role briefing_role(enum config_service service);
/* Sends a listening socket, if the role takes it and it is open. */
void briefing_send_listener(const struct briefing *briefing, struct slot *slot,
			    const struct config_listener *listener);
/* Tells a keeper whether the paths of the mail folders lead elsewhere. */
void briefing_send_away(const struct briefing *briefing, struct slot *slot);
/* Gives each of the two slots a channel to the other, if their roles work together. Returns 0, or
 * -1 with err. */
int briefing_wire(struct slot *a, struct slot *b, struct err *err);

#endif
