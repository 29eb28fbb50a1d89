/*
 * A request of Postfix's policy service, cut at a place that the first octet names. Checked: what
 * is not taken is the end of the input; a whole request ends with an empty line, and its recipient
 * is the value of a line of it; cut or not, the outcome is the same.
 */
#include "server/mta/policy_request.h"

#include "base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_whole(const struct policy_request *request, pop3_span taken)
{
	pop3_span recipient = policy_request_recipient(request);

	assert(taken.size && taken.data[taken.size - 1] == '\n');
	assert(taken.size == 1 || taken.data[taken.size - 2] == '\n');
	assert(recipient.size <= POLICY_ADDRESS_MAX && request->size <= INT64_MAX);
	if (!recipient.size)
		return;
	assert(!memchr(recipient.data, 0, recipient.size));
	assert(!memchr(recipient.data, '\n', recipient.size));
	assert(memmem(taken.data, taken.size, recipient.data, recipient.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy_request whole, cut;
	size_t at = size ? data[0] : 0, n = size ? size - 1 : 0;
	char *text = malloc(n + 1);
	pop3_span in = {text, n}, first, second;
	enum policy_status status, in_parts;

	assert(text);
	if (n)
		memcpy(text, data + 1, n);
	policy_request_init(&whole);
	status = policy_request_take(&whole, &in);
	assert(status == POLICY_MORE ? in.size == 0 : in.size <= n);
	if (status == POLICY_WHOLE)
		check_whole(&whole, (pop3_span){text, n - in.size});

	first = (pop3_span){text, at < n ? at : n};
	second = (pop3_span){text + first.size, n - first.size};
	policy_request_init(&cut);
	in_parts = policy_request_take(&cut, &first);
	if (in_parts == POLICY_MORE)
		in_parts = policy_request_take(&cut, &second);
	assert(in_parts == status);
	if (status == POLICY_WHOLE)
		assert(span_equal(policy_request_recipient(&whole),
				  policy_request_recipient(&cut)) &&
		       whole.size == cut.size);
	free(text);
	return 0;
}
