using StorySync.Samples;

FreedMemory.ReturnImmediately();
return await CommandLine.InvokeAsync(StoryCommand.Create(), args, Console.Out, Console.Error);
