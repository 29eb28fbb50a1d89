/* See listing.h. */
#include "maildrop/remote/listing.h"

#include "base/descriptor.h"
#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"
#include "maildrop/index/format.h"
#include "maildrop/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

enum { ROOM_FIRST = 16 };

/* Messages are named by their ids; a name of its own for each is what the index needs. */
static const char name[] = "m";

void remote_listing_init(struct remote_listing *listing)
{
	*listing = (struct remote_listing){.base_fd = -1, .delta_fd = -1};
}

void remote_listing_finish(struct remote_listing *listing)
{
	free(listing->sizes);
	if (listing->writing)
		index_writer_abort(&listing->writer);
	close_fd(&listing->base_fd);
	close_fd(&listing->delta_fd);
	remote_listing_init(listing);
}

static int out_of_order(const char *command, uint32_t number, uint32_t wanted, struct err *err)
{
	return err_set(err, EX_PROTOCOL,
		       "its %s has message %lu where %lu was to come: such a listing is not served",
		       command, (unsigned long)number, (unsigned long)wanted);
}

int remote_listing_size(struct remote_listing *listing, uint32_t number, uint64_t octets,
			struct err *err)
{
	if (number != listing->count + 1)
		return out_of_order("LIST", number, listing->count + 1, err);
	if (listing->count == INDEX_COUNT_MAX || octets > INT64_MAX - listing->octets)
		return err_set(err, EX_PROTOCOL, "its LIST is larger than can be served");
	if (listing->count == listing->room) {
		uint32_t room = listing->room ? listing->room * 2 : ROOM_FIRST;
		uint64_t *more = realloc(listing->sizes, room * sizeof(*more));

		if (!more)
			return err_set(err, EX_OSERR, "out of memory");
		listing->sizes = more;
		listing->room = room;
	}
	listing->sizes[listing->count++] = octets;
	listing->octets += octets;
	return 0;
}

static int memory(const char *what, struct err *err)
{
	int fd = memfd_create(what, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? err_sys(err, EX_OSERR, errno, "memory for a listing") : fd;
}

/* The base is as long as LIST said; its id only has to be the delta's, too. */
static int begin(struct remote_listing *listing, struct err *err)
{
	unsigned char header[INDEX_DELTA_HEADER];
	uint64_t id;

	if (listing->base_fd >= 0)
		return 0;
	if (random_octets(&id, sizeof(id)) < 0)
		return err_set(err, EX_OSERR, "no random octets");
	listing->base_fd = memory("remote base", err);
	listing->delta_fd = listing->base_fd < 0 ? -1 : memory("remote delta", err);
	if (listing->delta_fd < 0)
		return -1;
	index_delta_header_encode(id, header);
	if (maildrop_pwrite(&maildrop_kernel, listing->delta_fd, header, sizeof(header), 0) < 0 ||
	    index_writer_init(&listing->writer, &maildrop_kernel, listing->base_fd, id,
			      listing->count) < 0)
		return err_sys(err, EX_OSERR, errno, "memory for a listing");
	listing->writing = true;
	return 0;
}

/* One that cannot be sent to a client becomes 64 hexadecimal digits of its digest. */
static void take_id(struct remote_listing *listing, pop3_span id, struct index_message *message)
{
	unsigned char digest[DIGEST_MAX];
	char hex[2 * DIGEST_MAX + 1];

	if (index_id_valid(id)) {
		memcpy(message->id, id.data, id.size);
		message->id_size = (uint8_t)id.size;
		return;
	}
	digest_of(DIGEST_SHA_256, id.data, id.size, digest);
	hex_encode(digest, 32, hex);
	memcpy(message->id, hex, 64);
	message->id_size = 64;
	listing->replaced++;
}

int remote_listing_id(struct remote_listing *listing, uint32_t number, pop3_span id,
		      struct err *err)
{
	struct index_message message = {.flags = INDEX_OWN_ID, .name_size = sizeof(name) - 1};

	if (number != listing->ids + 1)
		return out_of_order("UIDL", number, listing->ids + 1, err);
	if (number > listing->count)
		return err_set(err, EX_PROTOCOL, "its UIDL has more messages than its LIST");
	if (begin(listing, err) < 0)
		return -1;
	take_id(listing, id, &message);
	memcpy(message.name, name, sizeof(name));
	message.octets = message.stored = listing->sizes[listing->ids++];
	if (index_writer_add(&listing->writer, &message, sizeof(name) - 1) < 0)
		return err_sys(err, EX_OSERR, errno, "memory for a listing");
	return 0;
}

static int seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

/* Room that was made for more: sessions are open for long. */
static void give_back(struct remote_listing *listing)
{
	uint64_t *less =
		listing->count ? realloc(listing->sizes, listing->count * sizeof(*less)) : NULL;

	if (!less)
		return;
	listing->sizes = less;
	listing->room = listing->count;
}

int remote_listing_end(struct remote_listing *listing, struct err *err)
{
	const struct index_stamp stamps[INDEX_DIRECTORIES] = {{0}};

	if (listing->ids != listing->count)
		return err_set(err, EX_PROTOCOL,
			       "its UIDL has %lu messages, and its LIST %lu: such a listing is not "
			       "served",
			       (unsigned long)listing->ids, (unsigned long)listing->count);
	if (begin(listing, err) < 0)
		return -1;
	if (index_writer_finish(&listing->writer, stamps) < 0 || seal(listing->base_fd) < 0 ||
	    seal(listing->delta_fd) < 0)
		return err_sys(err, EX_OSERR, errno, "memory for a listing");
	index_writer_abort(&listing->writer);
	listing->writing = false;
	give_back(listing);
	return 0;
}
