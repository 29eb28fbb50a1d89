/* See certificates.h. Packing runs in the monitor, unpacking in fronts, keys and `valijad -t`. What
 * held keys is wiped; a memory file is read where it is mapped, so that no copy is made. */
#include "server/certificates.h"

#include "base/descriptor.h"
#include "base/secret.h"
#include "config/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	PEM_MAX = 256 * 1024,
};

/* ---- packing ---- */

/* Reads a file of at most PEM_MAX octets. Returns its size, or -1 with err. */
static ssize_t read_file(const char *path, char *buf, struct err *err)
{
	char given[CONFIG_PATH_MAX];
	struct stat st;
	ssize_t n = -1;
	int fd;

	/* the configuration has its path, if this process has credentials */
	if (config_is_credential(path) &&
	    config_credential_path(path, given, sizeof(given), err) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, EX_NOINPUT, errno, "cannot read %s", path);
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > PEM_MAX) {
		err_set(err, EX_CONFIG, "%s is not a PEM file", path);
		goto out;
	}
	n = read_all(fd, buf, PEM_MAX);
	if (n < 0)
		err_sys(err, EX_OSERR, errno, "cannot read %s", path);
out:
	if (fd >= 0)
		close(fd);
	return n;
}

/* Leaves the certificates of a PEM text alone, at its front; returns their size. */
static size_t certificates_only(char *text, size_t size)
{
	static const char begin[] = "-----BEGIN ", end[] = "-----END ", word[] = "CERTIFICATE-----";
	char *at = text, *limit = text + size, *label, *stop;
	size_t kept = 0;

	while ((at = memmem(at, (size_t)(limit - at), begin, sizeof(begin) - 1)) != NULL) {
		label = memchr(at, '\n', (size_t)(limit - at));
		stop = label ? memmem(label, (size_t)(limit - label), end, sizeof(end) - 1) : NULL;
		stop = stop ? memchr(stop, '\n', (size_t)(limit - stop)) : NULL;
		if (!label)
			break;
		stop = stop ? stop + 1 : limit;
		if (memmem(at, (size_t)(label - at), word, sizeof(word) - 1)) {
			memmove(text + kept, at, (size_t)(stop - at));
			kept += (size_t)(stop - at);
		}
		at = stop;
	}
	return kept;
}

static int append_file(int out, const char *path, enum packed_kind kind, char *buf, struct err *err)
{
	ssize_t read = read_file(path, buf, err);
	uint32_t size;

	if (read < 0)
		return -1;
	size = (uint32_t)(kind == PACKED_CERTIFICATES ? certificates_only(buf, (size_t)read)
						      : (size_t)read);
	if (write(out, &size, sizeof(size)) == sizeof(size) &&
	    write(out, buf, size) == (ssize_t)size)
		return 0;
	return err_sys(err, EX_OSERR, errno, "cannot copy %s", path);
}

int certificates_pack(const struct config *config, enum packed_kind kind, uint64_t *ret_size,
		      struct err *err)
{
	int fd = memfd_create(kind == PACKED_KEYS ? "keys" : "certificates",
			      MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* not the heap's: a process that may only make system calls packs, too */
	char *buf = mmap(NULL, PEM_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc = 0;

	if (fd < 0 || buf == MAP_FAILED)
		rc = err_sys(err, EX_OSERR, errno, "cannot make a memory file");
	for (uint32_t i = 0; i < config->certificate_count && rc == 0; i++) {
		const struct config_certificate *c = &config->certificates[i];

		rc = append_file(fd, kind == PACKED_KEYS ? c->key : c->certificate, kind, buf, err);
		if (rc < 0)
			err_prefix(err, "%s:%u", config->file, c->line);
	}
	if (rc == 0 && kind == PACKED_CERTIFICATES && config_takes_certificates(config))
		rc = append_file(fd, config->client_ca, kind, buf, err);
	if (buf != MAP_FAILED) {
		wipe(buf, PEM_MAX);
		munmap(buf, PEM_MAX);
	}
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*ret_size = (uint64_t)lseek(fd, 0, SEEK_CUR);
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	return fd;
}

/* ---- unpacking ---- */

static int take(pop3_span *in, pop3_span *ret)
{
	uint32_t size;

	if (in->size < sizeof(size))
		return -1;
	memcpy(&size, in->data, sizeof(size));
	if (size > in->size - sizeof(size))
		return -1;
	*ret = (pop3_span){in->data + sizeof(size), size};
	in->data += sizeof(size) + size;
	in->size -= sizeof(size) + size;
	return 0;
}

/* Maps a memory file; unmap ends that. */
static int map(const struct packed *packed, enum packed_kind kind, pop3_span *ret, struct err *err)
{
	size_t size = packed->sizes[kind];
	void *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, packed->fds[kind], 0);

	if (text == MAP_FAILED)
		return err_sys(err, EX_OSERR, errno, "cannot take over the certificates");
	madvise(text, size, MADV_DONTDUMP);
	*ret = (pop3_span){text, size};
	return 0;
}

static void unmap(const struct packed *packed, pop3_span text, enum packed_kind kind)
{
	void *memory;

	memcpy(&memory, &text.data, sizeof(memory));
	if (text.data)
		munmap(memory, packed->sizes[kind]);
}

static int take_all(pop3_span certificates, pop3_span keys, const struct config *config,
		    struct tls_certificate *list, struct err *err)
{
	for (uint32_t i = 0; i < config->certificate_count; i++) {
		list[i].name = config->certificates[i].certificate;
		list[i].key = (pop3_span){"", 0};
		if (take(&certificates, &list[i].certificate) < 0 ||
		    (keys.data && take(&keys, &list[i].key) < 0))
			return err_set(err, EX_SOFTWARE, "the certificates did not arrive whole");
	}
	return 0;
}

/* The authorities of clients, behind the certificates. */
static int take_authorities(pop3_span certificates, const struct config *config,
			    struct tls_certificate *ret, struct err *err)
{
	*ret = (struct tls_certificate){.name = config->client_ca};
	for (uint32_t i = 0; i <= config->certificate_count; i++)
		if (take(&certificates, &ret->certificate) < 0)
			return err_set(err, EX_SOFTWARE, "the certificates did not arrive whole");
	return 0;
}

int certificates_digest(int fd, uint64_t size, const struct siphash_key *key, uint64_t *ret,
			struct err *err)
{
	void *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (text == MAP_FAILED)
		return err_sys(err, EX_OSERR, errno, "cannot look at the certificates");
	*ret = siphash(key, text, size);
	munmap(text, size);
	return 0;
}

int certificates_judge(const struct packed *packed, const struct config *config, int64_t now,
		       struct err *err)
{
	struct tls_certificate list[CONFIG_CERTIFICATES_MAX], authorities;
	pop3_span text = {NULL, 0};
	int rc = map(packed, PACKED_CERTIFICATES, &text, err);

	if (rc == 0)
		rc = take_all(text, (pop3_span){NULL, 0}, config, list, err);
	for (uint32_t i = 0; i < config->certificate_count && rc == 0; i++)
		rc = tls_certificate_judge(&list[i], now, err);
	if (rc == 0 && config_takes_certificates(config))
		rc = take_authorities(text, config, &authorities, err);
	if (rc == 0 && config_takes_certificates(config))
		rc = tls_certificate_judge(&authorities, -1, err);
	unmap(packed, text, PACKED_CERTIFICATES);
	return rc;
}

_Static_assert((int)CONFIG_TLS_1_2 == (int)TLS_MIN_1_2 && (int)CONFIG_TLS_1_3 == (int)TLS_MIN_1_3 &&
		       (int)CONFIG_TLS_1_0 == (int)TLS_MIN_1_0 &&
		       (int)CONFIG_TLS_1_1 == (int)TLS_MIN_1_1 &&
		       (int)CONFIG_TLS_COUNT == (int)TLS_MINIMA,
	       "a version in both tables");

bool certificates_minimum_used(const struct config *config, uint32_t minimum)
{
	for (uint32_t i = 0; i < config->listener_count; i++)
		if (config->rules[i].tls_min == minimum)
			return true;
	return false;
}

int certificates_unpack(const struct packed *packed, const struct config *config, uint32_t minimum,
			struct tls_server **ret_server, struct err *err)
{
	struct tls_certificate list[CONFIG_CERTIFICATES_MAX], authorities;
	pop3_span text = {NULL, 0};
	int rc;

	*ret_server = NULL;
	if (!config->certificate_count)
		return 0;
	rc = map(packed, PACKED_CERTIFICATES, &text, err);
	if (rc == 0)
		rc = take_all(text, (pop3_span){NULL, 0}, config, list, err);
	if (rc == 0)
		rc = tls_server_create(list, config->certificate_count, "pop3", ret_server, err);
	if (rc == 0 && config_takes_certificates(config))
		rc = take_authorities(text, config, &authorities, err);
	if (rc == 0 && config_takes_certificates(config))
		rc = tls_server_clients(*ret_server, &authorities, err);
	if (rc == 0 && minimum != CONFIG_TLS_1_2)
		rc = tls_server_minimum(*ret_server, (enum tls_minimum)minimum, err);
	if (rc < 0) {
		tls_server_destroy(*ret_server);
		*ret_server = NULL;
	}
	unmap(packed, text, PACKED_CERTIFICATES);
	return rc;
}

int certificates_unpack_keys(const struct packed *packed, const struct config *config,
			     struct tls_keys **ret_keys, struct err *err)
{
	struct tls_certificate list[CONFIG_CERTIFICATES_MAX];
	pop3_span texts[PACKED_COUNT] = {{NULL, 0}, {NULL, 0}};
	int rc;

	*ret_keys = NULL;
	if (!config->certificate_count)
		return 0;
	rc = map(packed, PACKED_CERTIFICATES, &texts[PACKED_CERTIFICATES], err);
	if (rc == 0)
		rc = map(packed, PACKED_KEYS, &texts[PACKED_KEYS], err);
	if (rc == 0)
		rc = take_all(texts[PACKED_CERTIFICATES], texts[PACKED_KEYS], config, list, err);
	if (rc == 0)
		rc = tls_keys_create(list, config->certificate_count, ret_keys, err);
	if (rc == 0 && (certificates_minimum_used(config, CONFIG_TLS_1_0) ||
			certificates_minimum_used(config, CONFIG_TLS_1_1)))
		tls_keys_allow_old(*ret_keys);
	unmap(packed, texts[PACKED_CERTIFICATES], PACKED_CERTIFICATES);
	unmap(packed, texts[PACKED_KEYS], PACKED_KEYS);
	return rc;
}
