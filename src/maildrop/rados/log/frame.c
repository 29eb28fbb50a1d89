/*
 * See frame.h.
 *
 *   0  2  octets of the frame, all of it
 *   2  1  kind
 *   3  1  octets of the unique id
 *   4  4  CRC-32C of the frame with zeros here
 *   8 16  id
 *  24  8  ADD: octets        32  8  stored        40  8  arrived
 *  48  4  flags              52  4  CRC-32C of the body
 *  56     unique id
 */
#include "maildrop/rados/log/frame.h"

#include "base/crc32c.h"
#include "base/little_endian.h"

#include <string.h>

enum {
	AT_KIND = 2,
	AT_ID_SIZE = 3,
	AT_CRC = 4,
	AT_ID = 8,
	AT_OCTETS = 24,
	AT_STORED = 32,
	AT_ARRIVED = 40,
	AT_FLAGS = 48,
	AT_BODY_CRC = 52
};
#define OCTETS_MAX (1ULL << 40)

static uint32_t crc_of(const unsigned char *frame, size_t size)
{
	static const unsigned char none[4] = {0};
	uint32_t crc = crc32c(0, frame, AT_CRC);

	crc = crc32c(crc, none, sizeof(none));
	return crc32c(crc, frame + AT_CRC + 4, size - AT_CRC - 4);
}

size_t drop_frame_encode(const struct drop_frame *frame, unsigned char *out)
{
	size_t size =
		frame->kind == DROP_ADD ? DROP_FRAME_ADD + frame->unique_id.size : DROP_FRAME_HEAD;

	memset(out, 0, frame->kind == DROP_ADD ? DROP_FRAME_ADD : DROP_FRAME_HEAD);
	le_put(out, size, 2);
	out[AT_KIND] = (unsigned char)frame->kind;
	memcpy(out + AT_ID, frame->id, DROP_ID);
	if (frame->kind == DROP_ADD) {
		out[AT_ID_SIZE] = (unsigned char)frame->unique_id.size;
		le_put(out + AT_OCTETS, frame->octets, 8);
		le_put(out + AT_STORED, frame->stored, 8);
		le_put(out + AT_ARRIVED, frame->arrived, 8);
		le_put(out + AT_FLAGS, frame->flags, 4);
		le_put(out + AT_BODY_CRC, frame->body_crc, 4);
		if (frame->unique_id.size)
			memcpy(out + DROP_FRAME_ADD, frame->unique_id.data, frame->unique_id.size);
	}
	le_put(out + AT_CRC, crc_of(out, size), 4);
	return size;
}

static bool is_unique_id(const unsigned char *in, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (in[i] < 0x21 || in[i] > 0x7e)
			return false;
	return size <= POP3_UNIQUE_ID_MAX;
}

static bool take_add(const unsigned char *in, size_t size, struct drop_frame *ret)
{
	size_t id_size = in[AT_ID_SIZE];

	if (size != DROP_FRAME_ADD + id_size || !is_unique_id(in + DROP_FRAME_ADD, id_size))
		return false;
	ret->octets = le_get64(in + AT_OCTETS);
	ret->stored = le_get64(in + AT_STORED);
	ret->arrived = le_get64(in + AT_ARRIVED);
	ret->flags = le_get32(in + AT_FLAGS);
	ret->body_crc = le_get32(in + AT_BODY_CRC);
	ret->unique_id = (pop3_span){(const char *)in + DROP_FRAME_ADD, id_size};
	return ret->octets <= OCTETS_MAX && ret->stored <= OCTETS_MAX;
}

size_t drop_frame_decode(pop3_span in, struct drop_frame *ret)
{
	const unsigned char *data = (const unsigned char *)in.data;
	size_t size = in.size < DROP_FRAME_HEAD ? 0 : le_get16(data);
	struct drop_frame frame = {0};

	if (size < DROP_FRAME_HEAD || size > in.size ||
	    crc_of(data, size) != le_get32(data + AT_CRC))
		return 0;
	frame.kind = (enum drop_kind)data[AT_KIND];
	memcpy(frame.id, data + AT_ID, DROP_ID);
	if (frame.kind == DROP_DEL && (size != DROP_FRAME_HEAD || data[AT_ID_SIZE]))
		return 0;
	if (frame.kind == DROP_ADD && !take_add(data, size, &frame))
		return 0;
	*ret = frame;
	return size;
}
