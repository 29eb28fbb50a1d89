/* The state that a monitor hands to its next program, judged record by record: each field at its
 * limit and beyond it, each kind at a place that is not its own. */
#include "handover_test.h"

#include "base/log.h"

/* A whole state with this one record in the place of the sound one; whether it is read. */
static bool reads_with(enum handover_kind kind, const void *record)
{
	struct handover_monitor monitor = a_monitor();
	struct handover_generation g = a_generation(1, false);
	struct handover h;
	struct err err = {0};
	bool is_read;
	int fd;

	handover_begin(&h);
#define PUT(of, sound) handover_put(&h, of, kind == (of) ? record : (sound), none)
	PUT(HANDOVER_MONITOR, &monitor);
	PUT(HANDOVER_LISTENER, &listener);
	PUT(HANDOVER_SOCKET, &sockets[0]);
	handover_put(&h, HANDOVER_SOCKET, &sockets[1], none);
	PUT(HANDOVER_PAGE, &page);
	PUT(HANDOVER_GENERATION, &g);
	PUT(HANDOVER_WANTED, &wanted);
	PUT(HANDOVER_ROOT, &root);
	PUT(HANDOVER_LOOKUP, &lookup);
	PUT(HANDOVER_SLOT, &slot);
	PUT(HANDOVER_WAITING, &waiting);
#undef PUT
	fd = sealed(&h);
	is_read = read_all(fd, &err) >= 0;
	if (!is_read && !strstr(err.text, "a record is damaged"))
		fail_msg("%s", err.text);
	close(fd);
	handover_finish(&h);
	return is_read;
}

/* A sound record of so many octets, with 32 bits changed at an offset: whether it is read. */
static bool reads_changed(enum handover_kind kind, const void *sound, size_t size, size_t offset,
			  uint32_t value)
{
	_Alignas(8) char record[sizeof(struct handover_generation)];

	assert_true(size <= sizeof(record));
	memcpy(record, sound, size);
	memcpy(record + offset, &value, sizeof(value));
	return reads_with(kind, record);
}
#define OFFSET(of, field) ((size_t)((const char *)&(of).field - (const char *)&(of)))
#define WITH(kind, sound, field, value) \
	reads_changed(kind, &(sound), sizeof(sound), OFFSET(sound, field), (uint32_t)(value))
#define AT_MOST(kind, sound, field, most)                           \
	do {                                                        \
		assert_true(WITH(kind, sound, field, most));        \
		assert_false(WITH(kind, sound, field, (most) + 1)); \
	} while (0)
#define IS_FLAG(kind, sound, field)                       \
	do {                                              \
		assert_true(WITH(kind, sound, field, 0)); \
		AT_MOST(kind, sound, field, 1);           \
	} while (0)
/* Standard input, output and error are never handed over. */
#define IS_NEEDED_FD(kind, sound, field)                    \
	do {                                                \
		assert_true(WITH(kind, sound, field, 3));   \
		assert_false(WITH(kind, sound, field, 2));  \
		assert_false(WITH(kind, sound, field, 0));  \
		assert_false(WITH(kind, sound, field, -1)); \
		assert_false(WITH(kind, sound, field, -2)); \
	} while (0)
#define IS_FD(kind, sound, field)                           \
	do {                                                \
		assert_true(WITH(kind, sound, field, -1));  \
		assert_true(WITH(kind, sound, field, 3));   \
		assert_false(WITH(kind, sound, field, 2));  \
		assert_false(WITH(kind, sound, field, 0));  \
		assert_false(WITH(kind, sound, field, -2)); \
	} while (0)

/* A text at an offset that fills its room is refused, and read if it ends there. */
static void judges_text(enum handover_kind kind, const void *sound, size_t size, size_t offset,
			size_t room, char first)
{
	_Alignas(8) char record[sizeof(struct handover_generation)];

	assert_true(size <= sizeof(record));
	memcpy(record, sound, size);
	memset(record + offset, 'a', room);
	record[offset] = first;
	assert_false(reads_with(kind, record));
	record[offset + room - 1] = '\0';
	assert_true(reads_with(kind, record));
}
#define IS_TEXT(kind, sound, field, first)                                                      \
	judges_text(kind, &(sound), sizeof(sound), OFFSET(sound, field), sizeof((sound).field), \
		    first)

static void test_threat_125_a_monitor_out_of_range(void **state)
{
	struct handover_monitor m = a_monitor();

	(void)state;
	assert_true(reads_with(HANDOVER_MONITOR, &m));
	assert_true(WITH(HANDOVER_MONITOR, m, pid, 1));
	assert_false(WITH(HANDOVER_MONITOR, m, pid, 0));
	assert_true(WITH(HANDOVER_MONITOR, m, numbers, 1));
	assert_false(WITH(HANDOVER_MONITOR, m, numbers, 0));
	IS_FLAG(HANDOVER_MONITOR, m, root);
	IS_FD(HANDOVER_MONITOR, m, no_network_fd);
	IS_FD(HANDOVER_MONITOR, m, samples_fd);
	IS_FD(HANDOVER_MONITOR, m, penalties_fd);
	IS_TEXT(HANDOVER_MONITOR, m, program, '/');
	memset(m.program, 'a', 4);
	assert_false(reads_with(HANDOVER_MONITOR, &m));
}

static void test_threat_125_a_listener_out_of_range(void **state)
{
	struct handover_socket dead = sockets[0];

	(void)state;
	AT_MOST(HANDOVER_WANTED, wanted, service, SERVICE_COUNT - 1);
	AT_MOST(HANDOVER_WANTED, wanted, port, UINT16_MAX);
	IS_FLAG(HANDOVER_WANTED, wanted, only_six);
	IS_TEXT(HANDOVER_WANTED, wanted, address, 'a');
	AT_MOST(HANDOVER_LISTENER, listener, wanted.service, SERVICE_COUNT - 1);
	AT_MOST(HANDOVER_LISTENER, listener, port, UINT16_MAX);
	IS_FLAG(HANDOVER_LISTENER, listener, given);
	IS_FD(HANDOVER_LISTENER, listener, folder_fd);
	IS_FD(HANDOVER_SOCKET, dead, fd);
}

static void test_threat_125_a_page_out_of_range(void **state)
{
	(void)state;
	AT_MOST(HANDOVER_PAGE, page, role, ROLE_COUNT - 1);
	IS_FLAG(HANDOVER_PAGE, page, taken);
	IS_NEEDED_FD(HANDOVER_PAGE, page, fd);
	IS_FD(HANDOVER_PAGE, page, read_fd);
	IS_FD(HANDOVER_PAGE, page, ring_fd);
	IS_FD(HANDOVER_PAGE, page, ring_read_fd);
}

static void test_threat_125_a_generation_out_of_range(void **state)
{
	struct handover_generation g = a_generation(1, false);

	(void)state;
	assert_false(WITH(HANDOVER_GENERATION, g, number, 0));
	assert_false(WITH(HANDOVER_GENERATION, g, draining, 2));
	assert_false(WITH(HANDOVER_GENERATION, g, killed, 1)); /* it does not drain */
	IS_FLAG(HANDOVER_GENERATION, g, counts);
	IS_NEEDED_FD(HANDOVER_GENERATION, g, program_fd);
	IS_NEEDED_FD(HANDOVER_GENERATION, g, config_fd);
	IS_FD(HANDOVER_GENERATION, g, users_fd);
	IS_FD(HANDOVER_GENERATION, g, aliases_fd);
	IS_FD(HANDOVER_GENERATION, g, spool_fd);
	IS_FD(HANDOVER_GENERATION, g, certificates_fd);
	IS_FD(HANDOVER_GENERATION, g, keys_fd);
	IS_FD(HANDOVER_GENERATION, g, logins_fd);
	assert_false(WITH(HANDOVER_GENERATION, g, remotes_fd, -1));
	assert_false(WITH(HANDOVER_GENERATION, g, remotes_fd, 3)); /* that is descriptor 2 */
	assert_true(WITH(HANDOVER_GENERATION, g, remotes_fd, 0));
	assert_true(WITH(HANDOVER_GENERATION, g, remotes_fd, 4));
	assert_false(WITH(HANDOVER_GENERATION, g, keeper_fd, -1));
	assert_false(WITH(HANDOVER_GENERATION, g, keeper_fd, 3));
	assert_true(WITH(HANDOVER_GENERATION, g, keeper_fd, 0));
	assert_true(WITH(HANDOVER_GENERATION, g, keeper_fd, 4));
	AT_MOST(HANDOVER_GENERATION, g, uid_count, IPC_UIDS_MAX);
	AT_MOST(HANDOVER_GENERATION, g, control_uid_count, IPC_UIDS_MAX);
	IS_FLAG(HANDOVER_GENERATION, g, control_has_group);
	AT_MOST(HANDOVER_GENERATION, g, fronts, HANDOVER_FRONTS_MAX);
	assert_false(WITH(HANDOVER_GENERATION, g, fronts, 0));
	AT_MOST(HANDOVER_GENERATION, g, log_level, LOG_LEVEL_COUNT - 1);
	IS_TEXT(HANDOVER_GENERATION, g, file, 'a');
	IS_TEXT(HANDOVER_GENERATION, g, directory, 'a');
	IS_TEXT(HANDOVER_GENERATION, g, log_to, 'a');
	IS_TEXT(HANDOVER_GENERATION, g, log_events, 'a');
}

static void test_threat_125_folders_databases_and_processes_out_of_range(void **state)
{
	struct handover_root marked = root;

	(void)state;
	IS_NEEDED_FD(HANDOVER_ROOT, root, fd);
	AT_MOST(HANDOVER_ROOT, root, state, IPC_ROOT_STATES - 1);
	IS_FLAG(HANDOVER_ROOT, root, away);
	AT_MOST(HANDOVER_ROOT, root, store, CONFIG_RADOS);
	IS_TEXT(HANDOVER_ROOT, root, path, '/');
	IS_TEXT(HANDOVER_ROOT, root, memory, '/');
	memset(marked.mark, 'a', sizeof(marked.mark));
	assert_false(reads_with(HANDOVER_ROOT, &marked));
	marked.mark[MAIL_MARK_SIZE] = '\0';
	assert_false(reads_with(HANDOVER_ROOT, &marked));
	marked.mark[MAIL_MARK_SIZE - 1] = '\0';
	assert_true(reads_with(HANDOVER_ROOT, &marked));
	IS_FD(HANDOVER_LOOKUP, lookup, program_fd);
	IS_FD(HANDOVER_LOOKUP, lookup, secrets_fd);
	IS_FD(HANDOVER_SLOT, slot, channel_fd);
	IS_FD(HANDOVER_SLOT, slot, log_fd);
	IS_FD(HANDOVER_SLOT, slot, page_fd);
	AT_MOST(HANDOVER_SLOT, slot, role, ROLE_COUNT - 1);
	AT_MOST(HANDOVER_SLOT, slot, home_root, CONFIG_ROOTS_MAX - 1);
	IS_FLAG(HANDOVER_SLOT, slot, ready);
	IS_FLAG(HANDOVER_SLOT, slot, ever_ready);
	IS_FLAG(HANDOVER_SLOT, slot, on_demand);
	IS_FLAG(HANDOVER_SLOT, slot, leaving);
	IS_FLAG(HANDOVER_SLOT, slot, wanted);
	assert_true(WITH(HANDOVER_SLOT, slot, pid, 2));
	AT_MOST(HANDOVER_WAITING, waiting, root, CONFIG_ROOTS_MAX - 1);
}

/* As many of a kind as their record may announce, and one more. */
static bool reads_so_many(uint32_t socket_count, uint32_t wanted_count, uint32_t roots,
			  uint32_t lookups)
{
	struct handover_monitor monitor = a_monitor();
	struct handover_listener l = listener;
	struct handover_generation g = a_generation(1, false);
	struct handover h;
	struct err err = {0};
	int fd, rc;

	l.sockets = socket_count;
	g.wanted = wanted_count;
	g.roots = roots;
	g.lookups = lookups;
	handover_begin(&h);
	handover_put(&h, HANDOVER_MONITOR, &monitor, none);
	handover_put(&h, HANDOVER_LISTENER, &l, none);
	for (uint32_t i = 0; i < socket_count; i++)
		handover_put(&h, HANDOVER_SOCKET, &sockets[1], none);
	handover_put(&h, HANDOVER_GENERATION, &g, none);
	for (uint32_t i = 0; i < wanted_count; i++)
		handover_put(&h, HANDOVER_WANTED, &wanted, none);
	for (uint32_t i = 0; i < roots; i++)
		handover_put(&h, HANDOVER_ROOT, &root, none);
	for (uint32_t i = 0; i < lookups; i++)
		handover_put(&h, HANDOVER_LOOKUP, &lookup, none);
	fd = sealed(&h);
	rc = read_all(fd, &err);
	if (rc < 0)
		assert_non_null(strstr(err.text, "a record is damaged"));
	close(fd);
	handover_finish(&h);
	return rc >= 0;
}

static void test_threat_125_so_many_of_a_kind(void **state)
{
	(void)state;
	assert_true(reads_so_many(0, 0, 1, 0));
	assert_true(reads_so_many(HANDOVER_SOCKETS_MAX, CONFIG_LISTENERS_MAX, CONFIG_ROOTS_MAX,
				  CONFIG_DATABASES_MAX));
	assert_false(reads_so_many(HANDOVER_SOCKETS_MAX + 1, 0, 1, 0));
	assert_false(reads_so_many(0, CONFIG_LISTENERS_MAX + 1, 1, 0));
	assert_false(reads_so_many(0, 0, CONFIG_ROOTS_MAX + 1, 0));
	assert_false(reads_so_many(0, 0, 0, 0)); /* there is mail somewhere */
	assert_false(reads_so_many(0, 0, 1, CONFIG_DATABASES_MAX + 1));
}

static void test_threat_125_so_many_generations(void **state)
{
	struct handover h;
	struct err err = {0};
	int fd;

	(void)state;
	put_all(&h);
	for (uint32_t i = 3; i <= HANDOVER_GENERATIONS_MAX; i++)
		put_generation(&h, i + 1, true);
	fd = sealed(&h);
	assert_true(read_all(fd, &err) >= 0);
	close(fd);
	put_generation(&h, HANDOVER_GENERATIONS_MAX + 2, true);
	refuses(&h, "another order");
	handover_finish(&h);
}

/* A record of each kind where it does not belong. */
static void test_threat_125_each_kind_at_a_wrong_place(void **state)
{
	const struct handover_generation first = a_generation(1, false), g = a_generation(5, true);
	const struct {
		enum handover_kind kind;
		const void *record;
	} behind_all[] = {{HANDOVER_LISTENER, &listener}, {HANDOVER_SOCKET, &sockets[0]},
			  {HANDOVER_PAGE, &page},         {HANDOVER_WANTED, &wanted},
			  {HANDOVER_ROOT, &root},         {HANDOVER_LOOKUP, &lookup}},
	  early[] = {{HANDOVER_WANTED, &wanted},   {HANDOVER_ROOT, &root},
		     {HANDOVER_LOOKUP, &lookup},   {HANDOVER_SLOT, &slot},
		     {HANDOVER_WAITING, &waiting}, {HANDOVER_GENERATION, &g}};
	struct handover_monitor monitor = a_monitor();
	struct handover h;

	(void)state;
	for (size_t i = 0; i < sizeof(behind_all) / sizeof(*behind_all); i++) {
		put_all(&h);
		handover_put(&h, behind_all[i].kind, behind_all[i].record, none);
		refuses(&h, "another order");
		handover_finish(&h);
	}
	/* what a generation announced comes first: listeners, folders, databases */
	for (size_t before = 0; before < 3; before++)
		for (size_t i = 0; i < sizeof(early) / sizeof(*early); i++) {
			if (i == before)
				continue; /* that is its place */
			handover_begin(&h);
			handover_put(&h, HANDOVER_MONITOR, &monitor, none);
			handover_put(&h, HANDOVER_GENERATION, &first, none);
			for (size_t sound = 0; sound < before; sound++)
				handover_put(&h, early[sound].kind, early[sound].record, none);
			handover_put(&h, early[i].kind, early[i].record, none);
			refuses(&h, "another order");
			handover_finish(&h);
		}
	handover_begin(&h); /* a process of no generation */
	handover_put(&h, HANDOVER_MONITOR, &monitor, none);
	handover_put(&h, HANDOVER_SLOT, &slot, none);
	refuses(&h, "another order");
	handover_finish(&h);
	handover_begin(&h); /* a listener first, and behind a page */
	handover_put(&h, HANDOVER_LISTENER, &listener, none);
	refuses(&h, "another order");
	handover_finish(&h);
	handover_begin(&h);
	handover_put(&h, HANDOVER_MONITOR, &monitor, none);
	handover_put(&h, HANDOVER_PAGE, &page, none);
	handover_put(&h, HANDOVER_PAGE, &page, none);
	handover_put(&h, HANDOVER_LISTENER, &listener, none);
	refuses(&h, "another order");
	handover_finish(&h);
}

/* Only a process and a request have a text. */
static void test_threat_125_a_text_where_none_belongs(void **state)
{
	struct handover_monitor monitor = a_monitor();
	struct handover h;

	(void)state;
	handover_begin(&h);
	handover_put(&h, HANDOVER_MONITOR, &monitor, SPAN_LITERAL("x"));
	refuses(&h, "damaged");
	handover_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threat_125_a_monitor_out_of_range),
		cmocka_unit_test(test_threat_125_a_listener_out_of_range),
		cmocka_unit_test(test_threat_125_a_page_out_of_range),
		cmocka_unit_test(test_threat_125_a_generation_out_of_range),
		cmocka_unit_test(test_threat_125_folders_databases_and_processes_out_of_range),
		cmocka_unit_test(test_threat_125_so_many_of_a_kind),
		cmocka_unit_test(test_threat_125_so_many_generations),
		cmocka_unit_test(test_threat_125_each_kind_at_a_wrong_place),
		cmocka_unit_test(test_threat_125_a_text_where_none_belongs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
