/* See policy_request.h. */
#include "server/mta/policy_request.h"

#include "base/text.h"

#include <string.h>

void policy_request_init(struct policy_request *request)
{
	*request = (struct policy_request){.size = 0};
}

static void take_recipient(struct policy_request *request, pop3_span value)
{
	if (request->has_recipient || value.size > sizeof(request->recipient) ||
	    (value.size && memchr(value.data, 0, value.size))) {
		request->doubtful = true;
		return;
	}
	request->has_recipient = true;
	request->recipient_size = value.size;
	if (value.size)
		memcpy(request->recipient, value.data, value.size);
}

static void take_attribute(struct policy_request *request, pop3_span name, pop3_span value)
{
	if (span_equal(name, SPAN_LITERAL("recipient"))) {
		take_recipient(request, value);
	} else if (span_equal(name, SPAN_LITERAL("size"))) {
		if (span_number(value, INT64_MAX, &request->size) < 0)
			request->size = 0;
	} else if (span_equal(name, SPAN_LITERAL("request"))) {
		request->has_kind = true;
		if (!span_equal(value, SPAN_LITERAL("smtpd_access_policy")))
			request->doubtful = true;
	}
}

/* A whole line. Of a long one only the beginning is here: its name counts. */
static enum policy_status take_line(struct policy_request *request)
{
	pop3_span line = {request->line, request->line_size};
	const char *equals = line.size ? memchr(line.data, '=', line.size) : NULL;
	bool whole = !request->line_long;
	pop3_span name;

	request->line_size = 0;
	request->line_long = false;
	if (!line.size)
		return POLICY_WHOLE;
	if (!equals)
		return POLICY_BAD;
	name = (pop3_span){line.data, (size_t)(equals - line.data)};
	if (whole)
		take_attribute(request, name, (pop3_span){equals + 1, line.size - name.size - 1});
	else if (span_equal(name, SPAN_LITERAL("recipient")) ||
		 span_equal(name, SPAN_LITERAL("request")))
		request->doubtful = true;
	return POLICY_MORE;
}

enum policy_status policy_request_take(struct policy_request *request, pop3_span *in)
{
	enum policy_status status = POLICY_MORE;

	while (status == POLICY_MORE && in->size) {
		const char *end = memchr(in->data, '\n', in->size);
		size_t n = end ? (size_t)(end - in->data) : in->size;
		size_t room = sizeof(request->line) - request->line_size;
		size_t kept = n < room ? n : room;

		if (request->taken + n + 1 > POLICY_REQUEST_MAX)
			return POLICY_BAD;
		request->taken += n + (end != NULL);
		request->line_long |= kept < n;
		memcpy(request->line + request->line_size, in->data, kept);
		request->line_size += kept;
		in->data += n + (end != NULL);
		in->size -= n + (end != NULL);
		if (end)
			status = take_line(request);
	}
	return status;
}

pop3_span policy_request_recipient(const struct policy_request *request)
{
	if (request->doubtful || !request->has_kind)
		return SPAN_LITERAL("");
	return (pop3_span){request->recipient, request->recipient_size};
}
