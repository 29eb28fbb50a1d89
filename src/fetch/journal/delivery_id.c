/* Delivery ids, for collect, the Maildir sink and state.c: a digest of account and identity. Pure.
 */
#include "fetch/journal/delivery_id.h"

#include "base/digest.h"
#include "fetch/journal/journal.h"

#include <string.h>

void delivery_id(pop3_span key, pop3_span identity, char ret[DELIVERY_ID_SIZE])
{
	struct digest digest;

	digest_init(&digest, DIGEST_SHA_256);
	digest_add(&digest, key.data, key.size);
	digest_add(&digest, "\n", 1);
	digest_add(&digest, identity.data, identity.size);
	digest_finish_name(&digest, ret);
}

void delivery_id_of_message(pop3_span key, pop3_span identity, bool partial,
			    char ret[DELIVERY_ID_SIZE])
{
	char text[JOURNAL_IDENTITY_MAX + 2];

	memcpy(text, identity.data, identity.size);
	text[identity.size] = ' '; /* no unique id holds a blank */
	delivery_id(key, (pop3_span){text, identity.size + (partial ? 1 : 0)}, ret);
}
