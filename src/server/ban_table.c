/* See ban_table.h. In the monitor, POP3 fronts and mta. */
#include "server/ban_table.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(struct ban_row) == 32, "rows of one size in all processes");

int ban_order(const struct network *a, const struct network *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : (int)a->bits - (int)b->bits;
}

void ban_link(struct ban_row *rows, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t wider = i; /* the row before, as a place from 1 */

		while (wider && !network_has(&rows[wider - 1].network, rows[i].network.address))
			wider = rows[wider - 1].wider;
		rows[i].wider = wider;
	}
}

int ban_table_open(struct ban_table *table, int fd, uint32_t count)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	size_t size = count * sizeof(struct ban_row);
	const struct ban_row *rows = NULL;

	if (count > BANS_MAX)
		return -1;
	if (count) {
		int has = fcntl(fd, F_GET_SEALS);

		if (has < 0 || (has & seals) != seals || lseek(fd, 0, SEEK_END) != (off_t)size)
			return -1;
		rows = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
		if (rows == MAP_FAILED)
			return -1;
	}
	for (uint32_t i = 0; i < count; i++)
		if (rows[i].wider > i || rows[i].network.bits > 128) {
			ban_table_close(&(struct ban_table){rows, count});
			return -1;
		}
	ban_table_close(table);
	*table = (struct ban_table){rows, count};
	return 0;
}

void ban_table_close(struct ban_table *table)
{
	union {
		const struct ban_row *from;
		void *to;
	} same = {.from = table->rows};

	if (table->rows)
		munmap(same.to, table->count * sizeof(struct ban_row));
	*table = (struct ban_table){NULL, 0};
}

bool ban_table_has(const struct ban_table *table, const uint8_t address[16], int64_t now)
{
	uint32_t low = 0, high = table->count;

	/* low becomes the place, from 1, of the last row that does not begin behind the address:
	 * every network that has the address is that row or a wider one of it */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (memcmp(table->rows[middle].network.address, address, 16) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low; low = table->rows[low - 1].wider)
		if (table->rows[low - 1].until > now &&
		    network_has_family(&table->rows[low - 1].network, address))
			return true;
	return false;
}
