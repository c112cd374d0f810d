namespace StorySync.Diffusion;

/// <summary>Lets any number of runs use a model at the same time, lets its weights change only while there is none, and ends with the
/// runs: who closes it cancels them and waits for them. Runs that come while a change waits are after it.</summary>
/// <param name="owner">The type of what the gate belongs to, which messages name.</param>
internal sealed class RunGate(Type owner) : IDisposable
{
    private readonly object monitor = new();
    private readonly CancellationTokenSource closing = new();
    private readonly ThreadLocal<int> entered = new();
    private int runs;
    private int waitingChanges;
    private bool changing;
    private bool closed;

    /// <summary>Gets the token that is canceled when the gate closes.</summary>
    public CancellationToken Closing => closing.Token;

    /// <summary>Gets a value indicating whether the gate is closed.</summary>
    public bool IsClosed => Volatile.Read(ref closed);

    /// <summary>Begins a run on this thread, after the change that is under way; dispose the result on the same thread.</summary>
    /// <param name="cancellationToken">The token to monitor for cancellation requests while it waits.</param>
    /// <exception cref="InvalidOperationException">A callback of a run alone asks for it, and would wait for itself.</exception>
    /// <exception cref="ObjectDisposedException">The gate is closed.</exception>
    /// <exception cref="OperationCanceledException">It was canceled while it waited.</exception>
    public IDisposable Enter(CancellationToken cancellationToken = default)
    {
        var nested = entered.Value > 0;
        if (nested && Volatile.Read(ref changing))
        {
            RefuseWithinRun("be used");
        }

        Wait(() => changing || (waitingChanges > 0 && !nested), () => runs++, cancellationToken);
        entered.Value++;
        return new Exit(() =>
        {
            entered.Value--;
            Leave(() => runs--);
        });
    }

    /// <summary>Begins a run on this thread that changes the model for its own time: after the runs that are under way, and others wait for
    /// it. Dispose the result on the same thread.</summary>
    /// <inheritdoc cref="Enter"/>
    public IDisposable EnterAlone(CancellationToken cancellationToken = default)
    {
        var change = Change(cancellationToken);
        entered.Value++;
        return new Exit(() =>
        {
            entered.Value--;
            change.Dispose();
        });
    }

    /// <summary>Begins a change, after the runs that are under way.</summary>
    /// <param name="cancellationToken">The token to monitor for cancellation requests while it waits.</param>
    /// <exception cref="InvalidOperationException">A callback of a run asks for it, and would wait for itself.</exception>
    /// <exception cref="ObjectDisposedException">The gate is closed.</exception>
    /// <exception cref="OperationCanceledException">It was canceled while it waited.</exception>
    public IDisposable Change(CancellationToken cancellationToken = default)
    {
        RefuseWithinRun("be changed");
        lock (monitor)
        {
            waitingChanges++;
        }

        try
        {
            Wait(() => runs > 0 || changing, () => changing = true, cancellationToken);
        }
        finally
        {
            Leave(() => waitingChanges--);
        }

        return new Exit(() => Leave(() => changing = false));
    }

    /// <exception cref="ObjectDisposedException">The gate is closed.</exception>
    public void ThrowIfClosed() => ObjectDisposedException.ThrowIf(IsClosed, owner);

    /// <summary>Closes the gate: cancels the runs that are under way and waits until they are over.</summary>
    /// <returns>Whether it was open.</returns>
    /// <exception cref="InvalidOperationException">A callback of a run asks for it, and would wait for itself.</exception>
    public bool Close()
    {
        RefuseWithinRun("be disposed of");
        bool first;
        lock (monitor)
        {
            first = !closed;
            closed = true;
            Monitor.PulseAll(monitor);
        }

        if (first)
        {
            closing.Cancel();
        }

        lock (monitor)
        {
            while (runs > 0 || changing)
            {
                Monitor.Wait(monitor);
            }
        }

        return first;
    }

    /// <summary>Closes the gate and releases what it belongs to, once; a finalizer waits for nobody.</summary>
    /// <param name="disposing">False where a finalizer calls.</param>
    /// <param name="release">Releases it.</param>
    /// <exception cref="InvalidOperationException">A callback of a run asks for it, and would wait for itself.</exception>
    public void Release(bool disposing, Action release)
    {
        if (!disposing || Close())
        {
            release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Close();

    private void RefuseWithinRun(string what)
    {
        if (entered.Value > 0)
        {
            throw new InvalidOperationException(
                $"The {owner.Name} cannot {what} by a callback of its own run, which would wait for itself; cancel the run, and "
                    + $"do it after.");
        }
    }

    /// <summary>Waits while a condition holds, and then begins.</summary>
    private void Wait(Func<bool> condition, Action begin, CancellationToken cancellationToken)
    {
        using var wakes = cancellationToken.Register(() => Leave(() => { }));
        lock (monitor)
        {
            while (condition() && !closed)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Monitor.Wait(monitor);
            }

            ThrowIfClosed();
            begin();
        }
    }

    private void Leave(Action change)
    {
        lock (monitor)
        {
            change();
            Monitor.PulseAll(monitor);
        }
    }

    private sealed class Exit(Action leave) : IDisposable
    {
        private Action? leave = leave;

        public void Dispose() => Interlocked.Exchange(ref leave, null)?.Invoke();
    }
}
