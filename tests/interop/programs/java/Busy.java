import io.pyroscope.javaagent.PyroscopeAgent;

/** Keeps a processor busy under the agent for a while: {@code java -javaagent:… Busy SECONDS}. */
public final class Busy {
    private static volatile long sink;

    public static void main(String[] arguments) throws InterruptedException {
        long end = System.nanoTime() + Long.parseLong(arguments[0]) * 1_000_000_000L;
        while (System.nanoTime() < end) {
            for (long number = 0; number < 10_000; number++) {
                sink ^= number * number;
            }
        }
        PyroscopeAgent.stop();
        // The agent uploads in the background and offers no way to wait for the end of an upload.
        Thread.sleep(1_000);
    }
}
