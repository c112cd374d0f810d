[assembly: StorySync.TestSupport.SeededTensors]
