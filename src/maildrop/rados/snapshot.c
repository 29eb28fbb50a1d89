/* The index of a session: what its box keeps for all of them. See pool_private.h. */
#include "maildrop/rados/pool_private.h"

static int fill(struct pool_session *session, struct drop_listing *listing)
{
	if (!listing)
		return -1;
	session->listing = listing;
	session->maildrop.snapshot = (struct maildrop_snapshot){.base_fd = listing->base_fd,
								.delta_fd = listing->delta_fd,
								.delta_size = listing->delta_size,
								.count = listing->count,
								.octets = listing->octets};
	return 0;
}

int snapshot_take(struct pool_session *session, struct box *box)
{
	return fill(session, drop_listings_take(&box->listings, &box->log));
}

int snapshot_empty(struct pool_session *session)
{
	struct drop_listings listings = {NULL, NULL};
	struct drop_log nothing;
	int result;

	drop_log_init(&nothing);
	result = fill(session, drop_listings_take(&listings, &nothing));
	drop_listings_forget(&listings);
	return result;
}
