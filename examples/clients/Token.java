import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reports for a step of Interlock by its token. Copy this file; it needs Java 17 or newer, and nothing else. Bodies and answers
 * are JSON as text: use whatever library you have for it.
 *
 * <pre>
 * Token token = new Token(System.getenv("INTERLOCK_CALLBACK"));
 * token.heartbeat("{\"read\": 12}");
 * token.complete("{\"pr\": 812}");
 * </pre>
 */
public final class Token {
    private static final long[] PAUSES = {100, 300, 1000, 3000, 10000}; // milliseconds; every report may be sent twice
    private static final Pattern TYPE = Pattern.compile("\"type\":\"[^\"]*/([^\"/]+)\"");

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
    private final String callback;

    /** An answer that is a refusal. {@code code}: such as "token-revoked"; the message is the problem as JSON. */
    public static final class Refused extends IOException {
        public final int status;
        public final String code;

        Refused(int status, String problem) {
            super(problem);
            this.status = status;
            Matcher type = TYPE.matcher(problem);
            this.code = type.find() ? type.group(1) : "";
        }
    }

    /** {@code callback}: the URL that the step handed out. */
    public Token(String callback) {
        this.callback = callback;
    }

    /** Report the result, any JSON. The same one again is as good. */
    public String complete(String result) throws IOException, InterruptedException {
        return post("complete", "{\"result\": " + result + "}");
    }

    /** Report a failure: an object with "message" and, if you like, "type", "retryable" and "details". */
    public String fail(String failure) throws IOException, InterruptedException {
        return post("fail", failure);
    }

    /** Say that the work goes on. "cancel_requested" of the answer says that nobody wants it any more. */
    public String heartbeat(String details) throws IOException, InterruptedException {
        return post("heartbeat", "{\"details\": " + details + "}");
    }

    /** Say how far the work is: an object with "fraction" from 0 to 1, "message", or both. */
    public String progress(String progress) throws IOException, InterruptedException {
        return post("progress", progress);
    }

    private String post(String action, String body) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(callback + "/" + action))
                .timeout(Duration.ofSeconds(30))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        for (int tried = 0; ; tried++) {
            try {
                HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
                int status = answer.statusCode();
                if (status / 100 == 2) {
                    return answer.body();
                }
                if ((status != 429 && status < 502) || tried == PAUSES.length) {
                    throw new Refused(status, answer.body());
                }
            } catch (Refused refused) {
                throw refused;
            } catch (IOException error) {
                if (tried == PAUSES.length) {
                    throw error;
                }
            }
            Thread.sleep(PAUSES[tried]);
        }
    }

    /** java Token.java complete '{"pr": 812}' */
    public static void main(String[] arguments) throws InterruptedException {
        Token token = new Token(System.getenv("INTERLOCK_CALLBACK"));
        String given = arguments.length > 1 ? arguments[1] : "null";
        try {
            System.out.println(switch (arguments[0]) {
                case "complete" -> token.complete(given);
                case "fail" -> token.fail(given);
                case "heartbeat" -> token.heartbeat(given);
                case "progress" -> token.progress(given);
                default -> throw new IllegalArgumentException("complete, fail, heartbeat or progress, not " + arguments[0]);
            });
        } catch (Refused refused) {
            System.err.println(refused.code + ": " + refused.getMessage());
            System.exit(1);
        } catch (IOException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
